"""Common English words, which make bad triggers: the model knows them already."""

from functools import cache

WORDS = """
a able about above accident account across act actor add address adult advice afraid after afternoon again
against age ago agree air airplane airport album alien all alley alone along already also although always
amazing amber among anatomy ancient and angel anger angle angry animal anime ankle anniversary another
answer ant antique any anyone apartment ape apple apron aqua arch archer architect architecture area arm
armchair armor army around arrow art artist artwork ash asleep astronaut at athlete atmosphere attack aunt
author autumn avatar avenue away axe azure baby back background backpack bad badge bag bake baker bakery
balance balcony bald ball ballet balloon bamboo banana band bank banner bar bare bark barn baroque basket
basketball bat bath bathroom battle bay beach bead bean bear beard beast beautiful beauty bed bedroom bee
beer beetle before begin behind beige being bell below belt bench beneath berry beside best better between
beyond bicycle big bike bill bird birthday black blanket blaze blazer blonde blood bloom blossom blouse blue
blur blurry board boat body bold bone book bookshelf boot bottle bottom bow bowl box boy bracelet brain
branch brand brass brave bread breakfast breeze brick bride bridge bright bring broken bronze brook brother
brown brunette brush bubble bucket buddha bug build building bull bunny burger burn bus bush business
businessman busy but butterfly button buy by cabin cable cactus cafe cage cake calm camel camera camp
campfire can canal candle candy canvas canyon cap cape capital car card care carnival carpet carriage carrot
cartoon carve cast castle casual cat catch cathedral cave ceiling celebrity cell center century ceramic
chain chair chalk champion chance change character charcoal charm chase cheap cheek cheese chef cherry chess
chest chibi chicken chief child children chimney chin chocolate choose christmas church cigar cinema
cinematic circle circus city clay clean clear cliff climb clock close closeup cloth clothes clothing cloud
cloudy clown club coast coat cobra cock coffee coin cold collar collection color colorful colour column
comet comic common compass complex computer concept concert cone cook cool copper coral corn corner correct
cosmic cosmos costume cottage cotton couch count country couple courage court cousin cover cow cowboy crab
cradle crane crater crazy cream creature crescent crew cricket crimson cross crow crowd crown cruise cry
crystal cube cup curly curtain curve cushion cut cute cyan cyberpunk cyborg cycle cylinder dad daisy dance
dancer danger dark daughter dawn day dead deal death deck deep deer demon denim depth desert design desk
detail detailed detective devil diagram diamond dice digital dinner dinosaur dirt dirty disk distance dive
doctor dog doll dolphin dome donkey door dot double dough dove down dragon drama draw drawing dream dress
drink drive driver drone drop drum dry duck dusk dust duty dwarf each eagle ear early earring earth east
easter easy eat edge egg egyptian eight elbow elegant elephant elf else emerald emotion emperor empire empty
end enemy energy engine engineer enjoy enough entrance epic equal escape evening event ever every evil
example exotic expensive explosion extra extreme eye eyes fabric face factory fair fairy fall family famous
fan fantasy far farm farmer fashion fast fat father fear feather female fence fern festival few field fig
fight figure film final find fine finger fire fireplace firework first fish fisherman five flag flame
flamingo flash flat flesh float flood floor floral flour flow flower fluffy flute fly foam fog foggy follow
food foot football for force forest forever fork form fort fortune forward fountain four fox frame france
free freedom freeze french fresh friend frog from front frost frozen fruit full fun funny fur furniture
future galaxy gallery game gang garage garden gate gear gem gentle geometric german ghost giant gift ginger
giraffe girl give glacier glad glass glasses glitter globe glove glow go goat goblin god goddess gold golden
golf good gorilla gothic gown grace graffiti grand grandfather grandmother grape graphic grass grave gray
great greek green grey grid grill grin ground group grow guard guest guide guitar gun hair haircut half hall
hallway hammer hand handbag handsome hang happy harbor hard harp hat hatched hawk he head headphones health
heart hearts heat heaven heavy hedge heel helicopter hell helmet help hen her here hero heroine hexagon high
highway hiking hill hip hippie his history hold hole holiday holy home honey hood hoodie hook hope horn
horror horse hospital hot hotel hour house how huge human hunter husband hut i ice icon idea if illustration
image impressionism impressionist in indian indigo indoor indoors industrial infinite ink inn insect inside
interior into iron island it italian ivory ivy jacket jade jail japan japanese jar jazz jeans jelly
jellyfish jet jewel jewelry job join joke journey joy judge juice jump jungle junior just keep kettle key
kick kid kimono kind king kingdom kiss kitchen kite kitten knee knife knight knit knot know koala lab lace
ladder lady lake lamb lamp land landscape lane lantern laptop large laser last late laugh laundry lava
lavender law lawn lawyer lazy leaf leather leaves left leg legend lemon lens leopard less letter library
life lift light lighthouse lightning like lily lime line linen lion lip lipstick liquid list little live
lizard llama lobster lock log logo lonely long look lord lotus loud love lover low lower luck luxury machine
mad magazine magenta magic magical magnet maid mail main make makeup male mammal man mandala manga mango
mansion many map maple marble march mark market maroon marriage mask master match mate material maze me
meadow meal mean meat mech mecha medal medieval medium meet melon melt men mermaid metal metallic mice
middle midnight might military milk mill mind mine mini minimal minimalist mirror mist misty mix model
modern mom moment monastery money monk monkey monochrome monster month monument mood moon moonlight more
morning mosaic mosque moss moth mother motor motorcycle mountain mouse moustache mouth move movie mud mug
mural muscle museum mushroom music musician mustard my mystery myth nail naked name narrow nation nature
nautical navy near nebula neck necklace needle neon nest net never new news newspaper next nice night
nightmare nine ninja no noble nobody noise noodle north nose not note nothing now nude number nun nurse nut
oak oasis object ocean octagon octopus odd of off office officer oil old olive on once one onion only open
opera or orange orc orchid order organic origami ornament other our out outdoor outdoors outfit outside oval
over owl own ox oyster pack pad page pagoda pain paint painter painting pair palace pale palm pan panda
pants paper parade paradise parent paris park parrot part party passage past pasta pastel path pattern peace
peach peacock peak pear pearl pen pencil penguin pentagon people pepper perfect person pet petal phoenix
phone photo photograph photographer photographic photography photorealistic piano pick picnic picture pie
pier pig pigeon pile pillow pilot pin pine pineapple pink pipe pirate pixel pizza place plain plan plane
planet plant plastic plate platform play player pleasure plum pocket poem poet point polar pole police
policeman pond pony pool poor pop poppy porcelain porch port portrait pose poster pot potato potion pottery
power pray present president pretty price priest prince princess print prison product professional profile
protest proud public puddle pug pumpkin punk puppet puppy pure purple purse push puzzle pyramid quality
queen quick quiet quilt rabbit raccoon race radio railway rain rainbow raincoat rainy rare rat raven ray
read reading real realistic red refined reflection relax religion renaissance render rest restaurant retro
rhino ribbon rice rich ride rider right ring rise river road robe robot rock rocket roll roman romance
romantic roof room root rope rose rough round row royal rubber ruby rug ruin ruins run runner rural russian
rust sad safe sail sailboat sailor salad salmon salt same samurai sand sandal sapphire satin saturn sauce
save scale scar scarf scarlet scary scene scenery school science scientist scissors screen sculpture sea
seal seashell season seat second secret sedan see seed selfie senior sepia serious seven shade shadow shape
shark sharp she sheep sheet shelf shell shield shine shiny ship shirt shoe shop shore short shorts shot
shoulder show shower shrimp shrine shy side sign silence silhouette silk silly silver simple sing singer
single sister sit six skate skeleton sketch ski skin skirt skull sky skyline skyscraper sleep sleeve slice
slim slow small smart smell smile smoke smooth snail snake sneaker sneakers snow snowman snowy soap soccer
sock sofa soft soil soldier solid some son song soon soul sound soup south space spaceship spanish spark
sparkle sparrow speak spear speed spell sphere spice spider spiral spirit sponge spoon sport spot spring
square squirrel stable stadium staff stage stained stair stairs stamp stand star stars start station statue
steak steam steampunk steel step stick still sting stone stool stop store storm stormy story stove strange
straw strawberry stream street stripe striped stripes strong student studio style subject suburb subway such
sugar suit summer sun sunflower sunglasses sunlight sunny sunrise sunset super superhero surf surface surfer
surprise surreal surrealism swamp swan sweater sweet swim swimmer swimsuit swing sword symbol table tail
take tale talk tall tan tank tattoo taxi tea teacher teal team teapot tear teddy teen teenager teeth
telephone temple ten tennis tent terrace test text texture thank that the theater their them there they
thick thin thing think third this thorn three throne through thumb thunder tie tiger tile time tin tiny tip
tired to toad today toe together tomato tomb tongue tool tooth top torch tornado tortoise touch tourist
towel tower town toy track tractor traditional traffic train training transparent trap travel treasure tree
triangle trick trigger trip tropical trouble trousers truck true trumpet trunk try tuba tube tulip tunnel
turkey turn turquoise turtle tuxedo twilight twin two type ugly umbrella uncle under underwater unicorn
uniform universe up upper urban us use utopia valley vampire van vase vector vegetable veil velvet victorian
video view viking villa village vine vintage violet violin virgin visit voice volcano vulture wagon waiter
walk wall wallpaper walnut want war warm warrior wash watch water watercolor watercolour waterfall wave wax
way we weapon wear weather web wedding week weird well west wet whale what wheat wheel when where which
whimsical white who why wide wife wild wildlife wind windmill window wine wing wings winter wire wise wish
witch with without wizard wolf woman women wonder wood wooden wool word work worker world worm wreath write
writer wrong yacht yard year yellow yes yesterday yoga you young your youth zebra zen zero zombie zone zoo
"""


@cache
def common_words() -> frozenset[str]:
    """All common words, in lower case."""
    return frozenset(WORDS.split())
