//! L1: what happened, in order, and what comes next. Pure.
