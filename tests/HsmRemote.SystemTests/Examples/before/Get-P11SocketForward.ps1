@{
    'See all forwards'                    = { Connect-Builder edge-builder }
    'See why one does not stand'          = { Connect-Builder edge-builder }
    'Start those again that were stopped' = { Connect-Builder edge-builder; systemctl stop p11-forward-edge-builder }
}
