"""Everything that the comparison measures: this server, and the peers as their users run them."""
