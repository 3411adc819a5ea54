@{
    'Remove an instance'               = { Test-P11Socket edge }
    'Be sure that an instance is gone' = { Uninstall-P11KitServer edge }
}
