"""The simulated market: listings, sessions, prices, histories."""
