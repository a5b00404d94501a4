"""What is declared, observed, requested and recorded, as frozen values."""
