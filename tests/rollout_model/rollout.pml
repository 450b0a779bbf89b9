/*
 * The rollout protocol of docs/decisions/0010-managed-fleet.md, small enough that spin visits every state: one shard with
 * two hosts, two data planes, two versions of the rules of one namespace. Version V names model V alone.
 *
 *   publish 1 (version 1) runs at the start; publish 2 is version 2; publish 3 goes back to version 1.
 *
 * What can happen at any moment: a leader is replaced, and the one before goes on without knowing; a snapshot gets to a
 * data plane late, twice, out of order or never; an acknowledgement too; a host starts again and has lost its models.
 *
 * What must hold (assertions):
 *   I1  a data plane routes to no model that was not validated on the host in its life, or that we unloaded under it;
 *   I2  what runs never goes back to an earlier publish, neither in the store nor at a data plane, and a publish that
 *       was acknowledged is never lost: a rollback is a publish of its own;
 *   I4  going back to the version before, while it is retained, finds its model on every host in the list.
 *
 * One guard less each, in which spin has to find a mistake:
 *   -DNO_FENCE                   the store does not compare the leader's token
 *   -DUNLOAD_BEFORE_ACKS         unloads without waiting for data planes
 *   -DACTIVATE_BEFORE_VALIDATED  lists hosts that were not validated
 *   -DUNLOAD_RETAINED            unloads what is retained
 *   -DTAKE_OLDER                 a data plane takes any snapshot that it gets
 *   -DCOMMANDS_OUTLIVE_LEASE     a command to a host may be sent, or be under way, when the lease has passed to another
 */
#define SEQUENCES 5  /* snapshots at most: the first, and four of: two activations, ends of retention, changes of the list */
#ifndef ELECTIONS
#define ELECTIONS 2  /* the first, and a replacement; 3 takes twenty times as long */
#endif

#define BIT(x) (1 << (x))
#define HAS(set, x) (((set) >> (x)) & 1)
#define VERSION(publish) (publish == 2 -> 2 : 1)
#define MODEL(version) BIT((version) - 1)

/* The store. Everything in it changes in one transaction. */
byte published = 1;             /* the newest publish, acknowledged */
byte runs = 1;                  /* the publish that is active */
byte retained = 0;              /* the version that is kept loaded, 0: none */
byte sequence = 1;              /* of the newest snapshot */
byte token = 0;                 /* of the leader */
byte left_at[3];                /* by version: the sequence with which its model left the placement */
byte in_snapshot[SEQUENCES + 1];    /* by sequence: the publish */
byte listed[SEQUENCES + 1];         /* by sequence: set of hosts */
byte listed_life[SEQUENCES + 1];    /* by sequence: lives of these hosts when they were validated, a bit each */

/* Hosts. */
byte loaded[2];                 /* set of models */
byte life = 0;                  /* a bit of each host: has it started again? */

/* Data planes. */
byte running[2];                /* sequence of the snapshot */
byte in_flight[2];              /* sequence of the snapshot that a request under way began with, 0: none */

/* Leaders. A token of 0: has never led. */
byte mine[2];
byte validated[2];              /* by host: set of models that the leader has tried since it leads */
byte validated_life;            /* lives in which it did */
byte command_model[2];          /* by leader: an unload under way, 0: none */
bit command_host[2];
bit command_life[2];
byte elections = 0;

#define IS_LEADER(me) (mine[me] != 0 && mine[me] == token)
#ifdef COMMANDS_OUTLIVE_LEASE
#define MAY_TAKE_OVER true
#define MAY_COMMAND(me) (mine[me] != 0)
#else
/* A leader sends a command only if it ends before the lease does. */
#define MAY_TAKE_OVER (command_model[0] == 0 && command_model[1] == 0)
#define MAY_COMMAND(me) IS_LEADER(me)
#endif
/* What a data plane acknowledges. It never goes back; so what the leader has heard, however late, is at most this, and
 * only holds things up. Acting on what is true now is all that late acknowledgements allow, and the earliest of it. */
#define OLDEST(plane) (in_flight[plane] != 0 -> in_flight[plane] : running[plane])

#ifdef UNLOAD_BEFORE_ACKS
#define ACKNOWLEDGED(version) true
#else
#define ACKNOWLEDGED(version) (OLDEST(0) >= left_at[version] && OLDEST(1) >= left_at[version])
#endif
#ifdef UNLOAD_RETAINED
#define OUT_OF_USE(version) (OLDEST(0) == sequence && OLDEST(1) == sequence)
#else
#define OUT_OF_USE(version) (version != retained && left_at[version] != 0 && ACKNOWLEDGED(version))
#endif

#define ON_LIST(host) HAS(listed[sequence], host)
#define SAME_LIFE(lives, host) (HAS(lives, host) == HAS(life, host))
/* What has to be on a host of the list: what runs, what is retained. */
#define PLACED_MODELS (MODEL(VERSION(runs)) | (retained != 0 -> MODEL(retained) : 0))
#define VALIDATED(host, models) (SAME_LIFE(validated_life, host) && (validated[host] & (models)) == (models))

/* Where the host is in the list of the snapshot and has not started again since: whether it has the model. */
#define CAN_ANSWER(at, host) (!HAS(listed[at], host) || !SAME_LIFE(listed_life[at], host) || \
  (loaded[host] & MODEL(VERSION(in_snapshot[at]))) != 0)

inline next_snapshot(publish, hosts, lives) {
  sequence++;
  in_snapshot[sequence] = publish;
  listed[sequence] = hosts;
  listed_life[sequence] = lives
}

inline set_bit(set, x, value) { set = (set & ~BIT(x)) | ((value) << (x)) }

/* A leader looks at everything and prepares a batch; whatever happens before it gets to the store. */
proctype Leader(bit me) {
  byte activates = 0;           /* the publish */
  bit ends_retention = 0;
  bit lists = 0;                /* changes the list alone */
  byte hosts = 0;
  byte lives = 0;
  bit h;
  byte v;

  do
  /* The other one's lease has ended. Nothing is believed that was not seen since. */
  :: atomic { elections < ELECTIONS && elections % 2 == me && MAY_TAKE_OVER ->
       elections++;
       token++;
       mine[me] = token;
       validated[0] = 0; validated[1] = 0; validated_life = 0;
       activates = 0; ends_retention = 0; lists = 0; hosts = 0; lives = 0 }

  /* Load what is wanted. */
  :: atomic { IS_LEADER(me) -> if :: h = 0 :: h = 1 fi;
       if :: v = VERSION(published) :: v = VERSION(runs) :: retained != 0 -> v = retained fi;
       if :: (loaded[h] & MODEL(v)) == 0 && command_model[me] == 0 -> loaded[h] = loaded[h] | MODEL(v)
          :: else fi;
       h = 0; v = 0 }

  /* Try what is there: dry runs. */
  :: atomic { IS_LEADER(me) && command_model[me] == 0 &&
              (validated[0] != loaded[0] || validated[1] != loaded[1] || validated_life != life) ->
       validated[0] = loaded[0]; validated[1] = loaded[1]; validated_life = life }

  /* Prepare to activate what was published. */
  :: atomic { IS_LEADER(me) && activates == 0 && !ends_retention && !lists && published > runs && sequence < SEQUENCES ->
       hosts = 0;
#ifdef ACTIVATE_BEFORE_VALIDATED
       hosts = 3;
#else
       if :: VALIDATED(0, (MODEL(VERSION(runs)) | MODEL(VERSION(published)))) -> hosts = hosts | 1 :: else fi;
       if :: VALIDATED(1, (MODEL(VERSION(runs)) | MODEL(VERSION(published)))) -> hosts = hosts | 2 :: else fi;
#endif
       if :: hosts != 0 -> activates = published; lives = validated_life :: else fi;
#ifdef ACTIVATE_BEFORE_VALIDATED
       lives = life;
#endif
       skip }

  /* Prepare to end the retention: its time is over. */
  :: atomic { IS_LEADER(me) && activates == 0 && !ends_retention && !lists && retained != 0 && published == runs &&
              sequence < SEQUENCES ->
       ends_retention = 1; hosts = listed[sequence]; lives = listed_life[sequence] }

  /* Prepare to take a host off the list that has started again, or to put one on it that has everything. */
  :: atomic { IS_LEADER(me) && activates == 0 && !ends_retention && !lists && sequence < SEQUENCES ->
       hosts = listed[sequence]; lives = listed_life[sequence];
       if :: h = 0 :: h = 1 fi;
       if :: ON_LIST(h) && !SAME_LIFE(listed_life[sequence], h) -> hosts = hosts & ~BIT(h); lists = 1
          :: !ON_LIST(h) && VALIDATED(h, PLACED_MODELS) ->
               hosts = hosts | BIT(h); set_bit(lives, h, HAS(life, h)); lists = 1
          :: else -> hosts = 0; lives = 0 fi;
       h = 0 }

  /* The batch gets to the store, which takes it or not. */
  :: atomic { (activates != 0 || ends_retention || lists) ->
#ifdef NO_FENCE
       if :: sequence < SEQUENCES ->
#else
       if :: mine[me] == token ->
#endif
            if :: activates != 0 ->
                    assert(activates > runs);                              /* I2, in the store */
                    retained = VERSION(runs);
                    runs = activates;
                    next_snapshot(runs, hosts, lives)
               :: ends_retention ->
                    left_at[retained] = sequence + 1;
                    retained = 0;
                    next_snapshot(runs, hosts, lives)
               :: lists -> next_snapshot(runs, hosts, lives)
            fi
          :: else fi;
       activates = 0; ends_retention = 0; lists = 0; hosts = 0; lives = 0 }

  /* Unload what nobody uses: an order to the host, which arrives some time. What is to go is not validated any more. */
  :: atomic { MAY_COMMAND(me) && command_model[me] == 0 && activates == 0 && !ends_retention && !lists ->
       if :: h = 0 :: h = 1 fi;
       if :: v = 1 :: v = 2 fi;
       if :: (loaded[h] & MODEL(v)) != 0 && v != VERSION(runs) && v != VERSION(published) && OUT_OF_USE(v) ->
            command_model[me] = MODEL(v); command_host[me] = h; command_life[me] = HAS(life, h);
            if :: IS_LEADER(me) -> validated[h] = validated[h] & ~MODEL(v) :: else fi
          :: else fi;
       h = 0; v = 0 }
  :: atomic { command_model[me] != 0 ->
       if :: command_life[me] == HAS(life, command_host[me]) ->
            loaded[command_host[me]] = loaded[command_host[me]] & ~command_model[me]
          :: else fi;
       command_model[me] = 0; command_host[me] = 0; command_life[me] = 0 }
  od
}

proctype DataPlane(bit me) {
  byte got;
  do
  /* Some snapshot that was ever sent arrives: late, again, out of order. */
  :: atomic { running[me] < sequence -> 
#ifdef TAKE_OLDER
       got = 1;
#else
       got = running[me] + 1;
#endif
       do :: got < sequence -> got++ :: break od;
       assert(in_snapshot[got] >= in_snapshot[running[me]]);               /* I2, at a data plane */
       running[me] = got; got = 0 }
  /* A request begins, and some time the host has to have the model that it asks for. Those of the second data plane take
   * no time: the two do not know of one another, so that one with long requests shows all that two would. */
  :: atomic { me == 0 && in_flight[me] == 0 && listed[running[me]] != 0 -> in_flight[me] = running[me] }
  :: atomic { in_flight[me] != 0 ->                                        /* I1, whichever host it went to */
       assert(CAN_ANSWER(in_flight[me], 0) && CAN_ANSWER(in_flight[me], 1));
       in_flight[me] = 0 }
  :: atomic { me == 1 && !(CAN_ANSWER(running[me], 0) && CAN_ANSWER(running[me], 1)) -> assert(false) }  /* I1 */
  od
}

/* People: new rules, and back to those before. */
proctype Publisher() {
  byte at;
  atomic { published == 1 -> published = 2 };
  atomic { runs == 2 ->
    at = sequence;
    if :: retained == 1 ->                                                   /* I4 */
         assert(!ON_LIST(0) || !SAME_LIFE(listed_life[at], 0) || (loaded[0] & MODEL(1)) != 0);
         assert(!ON_LIST(1) || !SAME_LIFE(listed_life[at], 1) || (loaded[1] & MODEL(1)) != 0)
       :: else fi;
    at = 0;
    published = 3 }
}

/* The first host starts again. Which of the two makes no difference, until then they are alike. */
proctype Hosts() {
  atomic { life = life ^ BIT(0); loaded[0] = 0 }
}

init {
  atomic {
    in_snapshot[1] = 1; listed[1] = 3;
    loaded[0] = MODEL(1); loaded[1] = MODEL(1);
    running[0] = 1; running[1] = 1;
    run Leader(0); run Leader(1); run DataPlane(0); run DataPlane(1); run Publisher(); run Hosts()
  }
}
