"""The client of the Kiwoom REST API: transport, authentication, retries, protocol."""
