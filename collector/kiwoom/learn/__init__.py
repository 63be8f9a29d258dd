"""Asks a host what no document says: `observe` sends the requests, `findings` judges the answers."""
