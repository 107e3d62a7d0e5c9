//! Defences that a test may take out, to see whether a checker notices.
//!
//! Without the feature `planted` the macro is the constant `false`, and nothing of it is in the build. With it, one defect at a
//! time is chosen by name while the tests run (`tests/planted`). Never ship a build that has it.

/// Whether this defect is planted now.
macro_rules! planted {
    ($bug:ident) => {{
        #[cfg(feature = "planted")]
        let planted = earnest_planted_hooks::on(earnest_planted_hooks::Bug::$bug);
        #[cfg(not(feature = "planted"))]
        let planted = false;
        planted
    }};
}

pub(crate) use planted;
