namespace HsmRemote;

/// <summary>CK_TOKEN_INFO.flags, PKCS #11 v2.40 section 3.2.</summary>
[Flags]
public enum Pkcs11TokenFlags
{
    /// <summary>No flag.</summary>
    None = 0,

    /// <summary>CKF_RNG: the token has its own source of random numbers.</summary>
    Rng = 0x1,

    /// <summary>CKF_WRITE_PROTECTED: the token cannot be written to.</summary>
    WriteProtected = 0x2,

    /// <summary>CKF_LOGIN_REQUIRED: some functions need a login.</summary>
    LoginRequired = 0x4,

    /// <summary>CKF_USER_PIN_INITIALIZED: the user's PIN is set.</summary>
    UserPinInitialized = 0x8,

    /// <summary>CKF_RESTORE_KEY_NOT_NEEDED.</summary>
    RestoreKeyNotNeeded = 0x20,

    /// <summary>CKF_CLOCK_ON_TOKEN: the token has a clock.</summary>
    ClockOnToken = 0x40,

    /// <summary>CKF_PROTECTED_AUTHENTICATION_PATH: the PIN is typed on the token or its reader.</summary>
    ProtectedAuthenticationPath = 0x100,

    /// <summary>CKF_DUAL_CRYPTO_OPERATIONS.</summary>
    DualCryptoOperations = 0x200,

    /// <summary>CKF_TOKEN_INITIALIZED.</summary>
    TokenInitialized = 0x400,

    /// <summary>CKF_SECONDARY_AUTHENTICATION (deprecated).</summary>
    SecondaryAuthentication = 0x800,

    /// <summary>CKF_USER_PIN_COUNT_LOW: a wrong PIN has been given since the last login.</summary>
    UserPinCountLow = 0x10000,

    /// <summary>CKF_USER_PIN_FINAL_TRY: one wrong PIN more locks the token.</summary>
    UserPinFinalTry = 0x20000,

    /// <summary>CKF_USER_PIN_LOCKED.</summary>
    UserPinLocked = 0x40000,

    /// <summary>CKF_USER_PIN_TO_BE_CHANGED.</summary>
    UserPinToBeChanged = 0x80000,

    /// <summary>CKF_SO_PIN_COUNT_LOW.</summary>
    SoPinCountLow = 0x100000,

    /// <summary>CKF_SO_PIN_FINAL_TRY.</summary>
    SoPinFinalTry = 0x200000,

    /// <summary>CKF_SO_PIN_LOCKED.</summary>
    SoPinLocked = 0x400000,

    /// <summary>CKF_SO_PIN_TO_BE_CHANGED.</summary>
    SoPinToBeChanged = 0x800000,

    /// <summary>CKF_ERROR_STATE: the token failed its self test.</summary>
    ErrorState = 0x1000000,
}

/// <summary>CK_SLOT_INFO.flags, PKCS #11 v2.40 section 3.2.</summary>
[Flags]
public enum Pkcs11SlotFlags
{
    /// <summary>No flag.</summary>
    None = 0,

    /// <summary>CKF_TOKEN_PRESENT.</summary>
    TokenPresent = 0x1,

    /// <summary>CKF_REMOVABLE_DEVICE: the reader takes tokens that come and go.</summary>
    RemovableDevice = 0x2,

    /// <summary>CKF_HW_SLOT: a slot of hardware, not of software.</summary>
    HardwareSlot = 0x4,
}
