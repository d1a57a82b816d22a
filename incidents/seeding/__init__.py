"""An installation as it looks after a year of use, made up in minutes: for measurements, and for looking at pages."""
