"""The AI service: a turn in, an answer out. Prompt, providers, history, and the client's own FAQ."""
