//! What only MySQL and MariaDB can get wrong. Behaviour is the conformance suite's.

mod plan;
