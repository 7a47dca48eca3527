"""How fast the parts are, each as a ratio to something plain that was timed in the same minute."""
