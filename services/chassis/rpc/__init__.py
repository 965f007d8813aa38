"""What every call passes, and the words both ends of a call share: methods, errors, names, pages."""
