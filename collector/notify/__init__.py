"""Messages to people about events of the daemon. Each names the event, its begin and a command that helps.

`conditions`, `changes` and `messages` are pure. `worker` looks at the ledger and keeps the events, `outbox` sends
their messages, `sender` and `child` hand a message to the services, `ping` calls the URL after a complete sweep.
"""
