//! A simulated deployment behind the same transport as a real one.
//! Its parts are being built; nothing is public yet.
