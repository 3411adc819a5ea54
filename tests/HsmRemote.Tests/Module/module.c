/* A PKCS #11 module that misbehaves in the ways that it is compiled with (-D). Without any it has one good token. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef unsigned long ulong;

#ifndef SLOTS
#define SLOTS 1
#endif
#ifndef FIRST_COUNT /* What C_GetSlotList says when it is only asked for the number. */
#define FIRST_COUNT SLOTS
#endif
#ifndef SECOND_COUNT /* What it says when it is asked for the slots. */
#define SECOND_COUNT SLOTS
#endif
#ifndef DESCRIPTION
#define DESCRIPTION "A module of the tests"
#endif
#ifndef LABEL
#define LABEL "token %lu"
#endif
#ifndef PADDING
#define PADDING ' '
#endif
#ifndef INITIALIZE
#define INITIALIZE return 0
#endif
#ifndef TOKEN_INFO
#define TOKEN_INFO
#endif
#ifndef SLOT_FLAGS
#define SLOT_FLAGS 1
#endif
#ifndef TOKEN_FLAGS
#define TOKEN_FLAGS 0x400
#endif
#ifndef UTC_TIME
#define UTC_TIME ""
#endif

struct version { unsigned char major, minor; };
struct info { struct version version; char manufacturer[32]; ulong flags; char description[32]; struct version library; };
struct slot { char description[64], manufacturer[32]; ulong flags; struct version hardware, firmware; };
struct token {
    char label[32], manufacturer[32], model[16], serial[16];
    ulong flags, max_sessions, sessions, max_rw, rw, max_pin, min_pin, total_public, free_public, total_private, free_private;
    struct version hardware, firmware;
    char time[16];
};

static void pad(char *to, int length, const char *text)
{
    int given = strlen(text) < length ? strlen(text) : length;
    memset(to, PADDING, length);
    memcpy(to, text, given);
}

static ulong initialize(void *arguments) { INITIALIZE; }

static ulong finalize(void *reserved)
{
#ifdef FINALIZED /* A file that says that somebody did. */
    fclose(fopen(FINALIZED, "w"));
#endif
    return 0;
}

static ulong get_info(struct info *info)
{
    memset(info, 0, sizeof *info);
    info->version.major = 2;
    info->version.minor = 40;
    pad(info->manufacturer, 32, "Tests");
    pad(info->description, 32, DESCRIPTION);
    info->library.major = 1;
    return 0;
}

static ulong get_slots(unsigned char present, ulong *slots, ulong *count)
{
    ulong i, room = *count;
    *count = slots ? SECOND_COUNT : FIRST_COUNT;
    for (i = 0; slots && i < room && i < SLOTS; i++)
        slots[i] = 100 + i;
    return 0;
}

static ulong get_slot(ulong id, struct slot *slot)
{
    memset(slot, 0, sizeof *slot);
    pad(slot->description, 64, "A slot");
    pad(slot->manufacturer, 32, "Slot maker");
    slot->flags = SLOT_FLAGS;
    slot->hardware.major = 3;
    slot->firmware.minor = 4;
    return 0;
}

static ulong get_token(ulong id, struct token *token)
{
    char label[64];
    TOKEN_INFO;
    memset(token, 0, sizeof *token);
    snprintf(label, sizeof label, LABEL, id - 100);
    pad(token->label, 32, label);
    pad(token->manufacturer, 32, "Tests");
    pad(token->model, 16, "Bad");
    pad(token->serial, 16, "1");
    token->flags = TOKEN_FLAGS;
    token->max_sessions = 0;
    token->sessions = ~0UL;
    token->max_rw = 7;
    token->max_pin = 12;
    token->min_pin = 4;
    token->total_public = token->free_public = token->total_private = token->free_private = ~0UL;
    token->hardware.major = 1;
    token->hardware.minor = 2;
    token->firmware.major = 5;
    token->firmware.minor = 6;
    pad(token->time, 16, UTC_TIME);
    return 0;
}

static ulong open_session(ulong id, ulong flags, void *application, void *notify, ulong *session)
{
    *session = id;
    return 0;
}

static ulong close_session(ulong session) { return 0; }

static ulong not_supported(void) { return 0x54; }

ulong C_GetFunctionList(void **to)
{
    static struct { struct version version; void *functions[68]; } list = { { 2, 40 } };
    int i;
    for (i = 0; i < 68; i++)
        list.functions[i] = not_supported;
    list.functions[0] = initialize;
    list.functions[1] = finalize;
    list.functions[2] = get_info;
    list.functions[3] = C_GetFunctionList;
    list.functions[4] = get_slots;
    list.functions[5] = get_slot;
    list.functions[6] = get_token;
    list.functions[12] = open_session;
    list.functions[13] = close_session;
    *to = &list;
    return 0;
}
