"""Front ends translate between a platform and turns; they hold no product logic."""
