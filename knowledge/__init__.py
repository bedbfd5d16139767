"""What we teach: the playbook, how it is read, stored, checked and found."""
