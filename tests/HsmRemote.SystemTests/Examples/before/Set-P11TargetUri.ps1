$empty = { Set-P11TargetUri edge @() }
@{
    'Expose one token'                     = $empty
    'See what would be changed'            = $empty
    'Expose every token that is here now'  = $empty
    'Add a token, in few words'            = {
        softhsm2-util --init-token --free --label second-token --pin 123456 --so-pin 87654321
    }
}
