"""What is special to taggers: words and their characters, and a random field over tags."""
