"""Words of the house: types, template, trace, errors, protocols; no I/O, no clock."""
