"""How notices leave Placet: what they say, and the two ways to send them."""
