"""How we teach: conversations, practice, and the people who take part."""
