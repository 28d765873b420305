"""Language models as the Hugging Face hub has them: what a ``config.json`` and the files beside it say."""
