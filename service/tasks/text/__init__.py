"""What every task over text shares: checks, words with their places, vocabularies."""
