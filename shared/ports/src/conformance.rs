//! The suite that every adapter must pass, whatever engine is behind it.
