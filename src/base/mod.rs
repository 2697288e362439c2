//! Things without opinions: clock, log, units, escaping, regex, slots.
