//! Behaviour of the investigator as a whole, on worlds made by hand.

mod build;
mod captured;
mod incident;
mod owners;
mod properties;
mod tables;
mod unseen;
mod weighing;
