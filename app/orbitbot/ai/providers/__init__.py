"""Who answers: a language model behind an OpenAI-compatible service, or the client's own FAQ."""
