@{
    'Remove an instance'               = { Test-P11Socket edge; Wait-Until { -not (systemctl list-units --no-legend 'edge@*.service') } }
    'Be sure that an instance is gone' = { Uninstall-P11KitServer edge }
}
