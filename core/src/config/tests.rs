//! Tests of the configuration: its texts, its rules, its round trips.
