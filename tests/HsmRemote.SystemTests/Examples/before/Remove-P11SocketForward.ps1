@{
    'Remove a forward'         = { Connect-Builder edge-builder }
    'See what would go'        = { Connect-Builder edge-builder }
    'Remove those to one host' = { Connect-Builder edge-builder }
}
