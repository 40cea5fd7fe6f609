"""The domain: what a deployment is and may become. No AWS in here."""
