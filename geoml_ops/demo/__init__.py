"""One turn of the loop on real imagery, told as a story."""
