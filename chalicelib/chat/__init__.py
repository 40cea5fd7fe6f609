"""Commands typed into a chat: one grammar for Slack and for every other tool."""
