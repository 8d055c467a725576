"""What fills the terminal: three pages (fleet, device, log) and what opens over them."""
