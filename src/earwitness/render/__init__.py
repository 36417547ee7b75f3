"""From gains to something to hear and to see."""
