@{
    'Start an instance'            = { Stop-P11KitServer edge }
    'Start all that do not listen' = { Stop-P11KitServer edge }
}
