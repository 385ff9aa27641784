//! L5: language models behind one trait.
