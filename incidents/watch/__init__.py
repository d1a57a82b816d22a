"""Whether the product itself works: who is alive, what should not be, who is told, what is measured."""
