"""Words of the house: types, template, trace, errors, protocols. No I/O, no clock, no environment."""
