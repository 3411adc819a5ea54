@{
    'Count the connections'          = { Test-P11Socket edge }
    'Read the journal of an instance' = {
        # A connection to an instance that exposes nothing ends with a failure, which systemd warns of.
        Set-P11TargetUri edge @()
        Test-P11Socket edge
        Wait-Until { Get-P11KitServer edge -Log 50 | Where-Object Priority -LE Warning }
    }
}
