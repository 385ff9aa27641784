//! L2: strict rendering of prompts; untrusted text stays fenced.
