//! L2: Rego decides; this module asks, combines and never weakens.
