//! A test for each configuration of a model: what holds, and that it fails without each of its rules.

/// A test for each configuration that holds, if it is asked for.
macro_rules! hold {
    ($system:ident if $asked:expr; $($(#[$about:meta])* $name:ident: $states:literal, $config:expr;)*) => {$(
        $(#[$about])*
        #[test]
        fn $name() {
            if $asked {
                crate::holds(stringify!($name), &$system::new($config), $states);
            }
        }
    )*};
}

/// A test for each: with the rule removed the search finds a violation, and with it (when all is asked for)
/// none.
macro_rules! mutants {
    ($system:ident; $($name:ident: $mutant:ident breaks $rule:literal, $config:expr;)*) => {$(
        #[test]
        fn $name() {
            let mutant = Some(Mutant::$mutant);
            crate::fails(stringify!($mutant), &$system::new(Config { mutant, ..$config }), $rule);
            if crate::full() {
                let report = crate::search::explore(&$system::new($config));
                assert!(report.failure.is_none(), "it fails with the rule, too");
            }
        }
    )*};
}

pub(crate) use {hold, mutants};
