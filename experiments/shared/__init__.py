"""What all experiments stand on."""
