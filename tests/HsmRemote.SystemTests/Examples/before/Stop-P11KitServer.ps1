@{
    'Stop an instance'         = { Connect-User 5000; Connect-User 5001 }
    'See who would be cut off' = { Connect-User 5000 }
}
