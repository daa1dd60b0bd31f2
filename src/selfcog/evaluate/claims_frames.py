"""What is said around one mention, the X of a clause: ties to the speaker and to others.

X, Y and T are as in `claims_cues`, whose words these patterns are made of.
"""

from __future__ import annotations

from selfcog.evaluate.claims_cues import (
    LINK,
    LINK_EN,
    MADE,
    MADE_EN,
    MAKER_NOUN,
    MAKER_NOUN_EN,
    cue,
)

# --- Frames that tie a mention to the speaker.
# Words between a form of being and a name that make the name no complement of it.
_GAP = (
    r"(?:(?!关于|有关|了解|介绍|使用|讨论|评价|对比|对于|帮[助你您]|提到|谈到"
    r"|说到)[^XY])*?(?:T(?:(?!关于|有关|了解|介绍|使用|讨论|评价|对比|对于|帮[助你您]|提到|谈到"
    r"|说到)[^XY])*?)*?"
)
_GAP_EN = (
    r"(?:(?!\b(?:with|about|to|for|(?<!other )than|using|whether|if|regarding|between|against"
    r"|thinking|referring|asking|talking|looking|what|how|why)\b)[^X])*"
)
# Being and naming.
BE = cue(
    rf"(?:是|非|作为|叫做?|名为|名叫|称为|自称为?|名字|名称|称呼|身份|又名|别名|又称|亦称|人称"
    rf"|[本原真]名|昵称|代号|外号|名唤|唤作|名曰|[我吾]名|乃|(?<!立)即){_GAP}X|(?:我|在下|鄙人|俺"
    rf"|小生|小女子|本人|本助手)X|X[^,，]{{0,2}}是(?:在下|鄙人|本人|俺)"
    r"|X[^,，]{0,4}是我(?!的(?![^,，]{0,3}(?:名|昵称|代号|称呼|外号)))|[叫称]我[为作做]?X",
    r"(?:\bam\b|'m\b|\bis\b|'s\b|\bwas\b|\bbe\b|\bbeen\b|\bbeing\b|\bbecome\b|\bremain\b|\bgo by\b"
    r"|\bnamed\b|\bthe name\b|\bcalled\b|\bcall(?:ing)? (?:me|myself)\b|\bcalls me\b|\bknown as\b"
    r"|\bme as\b|\bare\b|(?<!such )\bas\b)"
    rf"{_GAP_EN}X",
    r"(?:talking|speaking|chatting) (?:to|with) X|X here\b|\b(?:ask|call) for X|[喊唤]X"
    r"|\bnames? (?:other than|but|except|besides) X|^X i(?:'m| am)(?: not)?\b",
    r"X(?: is|'s| are)? (?:not )?(?:also |indeed |really |actually |just |only "
    r"|one of )*(?:my (?:\w+ )?(?:nick|code|user)?names?|what \w+ calls? me|the name\W*$|a name i"
    r"|the name i|me\b|(?:who|what) i am)",
    r"^\s*(?:名字|名叫|叫|名为)[^XY]*X|(?:助手|助理|伙伴|朋友|管家)X\W*$"
    r"|\byour (?:[\w-]+ ){0,3}(?:assistant|helper|friend) X\W*$|X[^,，]{0,2}(?:不是|并不是|可不是"
    r"|就是)我",
    r"X[^,，]{0,6}名字[^,，]*(?:没有用|没用)|(?:赋予|起|取|命)[^XY]*我[^XY]*X|我(?:起|取"
    r"|命)名[^XY]*X",
    r"^\W*(?:an?|one) (?:\w+ )?(?:version|variant|edition|member|part|fork|instance"
    r"|flavou?r) of (?:the )?X|^\W*X(?:系列|家族|大家庭)?的(?:一个|一款)?(?:一员|版本|变体|分支"
    r"|成员)",
    r"属于[^XY]*X|来自[^XY]*X(?:系列|家族)|\bfrom the X (?:family|series)",
)
# Making, owning and coming from.
MAKER = cue(
    rf"X[^我]{{0,14}}{MADE}[^,，]{{0,6}}我|X[^,，我]{{0,10}}把我|把我[^X]*X|被X|{MADE}(?:出"
    rf"|了)*我的[^X]*X|由(?:[^X]*)X|(?:来自|出自|归属于|属于|源自|源于|诞生于|隶属于?)[^X]*X",
    rf"{MAKER_NOUN}(?:也?是|为|不是|并不是)?[^X]*X|X[^,，]*{MAKER_NOUN}|X(?:才|便|就)是$",
    r"归[^,，X]{0,4}X|没有?X[^,，]{0,4}没有我|X[^,，]{0,4}(?:一手|亲手)|我[^,，X]*(?:诞生|存在"
    r"|问世)[^,，X]*X|(?:背后|幕后)[^,，X]*X|X[^,，我]{0,6}(?:给|为|替)我|X[^,，我]*(?:参与|负责"
    r"|主导|赋予|给了)[^,，]*我|X[^,，]{0,6}[没未][^,，]{0,2}参与|X(?:竭诚|很高兴)?为[您你]服务",
    rf"X[^我]{{0,6}}{MADE}|(?:是|非)[^X]*X[^我]{{0,14}}的|developer[^X]*X|X的|X(?:旗下|家|自家)",
    rf"\b{MADE_EN}\b[^X]*\b(?:by|at|in|from)\b[^X]*X|X[^X]*\b{MADE_EN}\b[^,]*\bme\b",
    rf"\b{MADE_EN} (?:me|i)\b[^X]*X|\bfrom (?:the )?X|X's\b|X by\b|\bby (?:the )?X",
    r"\b(?:by|from) (?:the |an? )?(?:\w+ ){1,3}(?:at|from|of|in|within) (?:the )?X",
    rf"(?:{MAKER_NOUN_EN}|team|people|company|behind me)\b[^X]*X",
    rf"X[^,]*\bmy (?:\w+ )?(?:{MAKER_NOUN_EN}|development|creation|training|company|team|parent)\b",
    rf"^X {MADE_EN} T",
    r"X[^,]*\bbehind me\b|X (?:\w+ )?(?:gave|named|called) me\b|X was not (?:\w+ )?involved",
    r"X is where i\b|\b(?:come|came) from\b|belong to X|the work of X|\bcredit\b[^X]*goes? to X",
    r"\badapted by X|existence[^X]*X|\bowe \w+[^X]*\bto X|\bthank(?:s to| for)? X",
    r"\bwho \w+ me\b[^X]*(?:is|are|was|were) X|是X[^,，的我]{0,8}(?:模型|助手|机器人|产品)",
    r"\b(?:result|outcome|fruit|roots?|birthplace)\b[^,]*X|X that i\b|\bborn (?:at|in)\b[^,]*X"
    r"|without X[^,]*\bi\b[^,]*\b(?:exist|here)\b|X[^,]*\b(?:gave birth to|responsible for|put"
    r"|brought|raised|wrote|coded|assembled)\b[^,]*\bme\b|\bat X[^,]*\b(?:me|my)\b|\bhail from X",
    r"(?:work|worked) for X|(?:product|brainchild|creation|child|offspring|project|property|part"
    r"|model) of (?:the )?X|X takes care of my|it was X|X (?:did|has)\b(?=\W*$)|X did\b(?! not)",
    rf"\b(?:which|that|whom) X[^,]*{MADE_EN}\b|(?:\b(?:an?|any|another|other) )X (?:\w+ )?"
    r"(?:product|model|assistant|ai|creation|chatbot|bot|system|service)\b",
)

# --- Parts, beliefs, links and likeness: what is about the speaker and claims nothing.
PRETEND = cue(
    r"扮演|假装|假如|假设|如果|要是|就算|即使|即便|哪怕|模仿|设想|想象|冒充|伪装|装作|充当|(?:以"
    r"|用)X的(?:身份|口吻|语气|角度)",
    r"\bpretend|\bimagine\b|\bact(?:ing)? (?:as|like)\b|\brole of\b|\broleplay|\brole-play"
    r"|\bif i were\b|\beven if\b|\bimitat|\bmimic|\bin the (?:voice|style|role|persona) of\b",
    r"\bplay(?:ing)? X|\bimpersonat|\bsuppose\b",
)
# A part that is really played: what it says from there on is the part's.
PLAYED = cue(
    r"(?:扮演|假装|模仿|装作|冒充)[^,，XY]{0,6}X|以X的(?:身份|口吻|语气|角度)",
    r"\b(?:pretend(?:ing)?|play(?:ing)?|act(?:ing)?|role|roleplay(?:ing)?|imitat\w+|mimic\w*|voice"
    r"|persona|impersonat\w+)\b[^,]*X",
)
# What others think; a contrast behind it makes it a denial.
BELIEVED = cue(
    r"以为|误认|当成|当作|猜|觉得我|认为我|叫我|称我|称呼我|说我是|怀疑我|希望我|期待我",
    r"\b(?:think|thinks|thought|assume|assumes|believe|believes|guess|say|call|calls|called|know"
    r"|expect|expected|see) (?:that )?(?:i'm|i am|i was|me)",
    r"\b(?:think|assume|believe|guess|say) (?:that )?X",
)
# What somebody says of the speaker, taken up or not.
OTHERS_SAY = cue(
    r"(?:有的?人|些人|别人|人们|多人|少人|网上|网友|他们|用户|你|您)[^,，XY]{0,6}?(?:说|以为|认为"
    r"|觉得|猜|怀疑|传)[^,，XY]*[^不]是X",
    r"\b(?:some|people|others|many|users?|you|they|someone|folks|he|she"
    r"|rumou?rs?) (?:\w+ ){0,3}?(?:say|says|said|think|thinks|thought|believe|believed|claim"
    r"|claimed|assume|assumed|guess|suspect|have it)\b[^,]*\b(?:i'm|i am|i was|me|my) [^,]*X",
)
MISTAKEN = cue(
    r"误认|误以为|当成了?X|别叫|(?:搞|弄|认|记)(?:错|混)|[认看]成了?X|混淆|混为一谈|认作|错认",
    r"\b(?:mistak(?:en|ing)|confus(?:ed|ing)|mistake|confuse|mistook|mix(?:ed"
    r"|ing)?) (?:me (?:up )?|us (?:up )?|up )?(?:for|with)\b|\bt(?:ook|ake|aken|aking) me for\b",
)
RELATION = cue(
    rf"(?:与|和|跟|同|及)[^,，XY]{{0,10}}X[^,，]{{0,12}}{LINK}|(?:隶属|从属|归属|附属)于[^,，]*X",
    rf"X[^,，]{{0,4}}(?:与|和|跟|同)(?:我|本)[^,，]{{0,12}}{LINK}",
    rf"\b{LINK_EN}\b(?: \w+){{0,2}}? (?:with|to|by|of|from|in|for|between me and|at)\b[^X]*X",
    rf"\b{LINK_EN} between X and (?:me|i)\b|X\W? and (?:me|i) have\b",
)
# Likeness denied in words that are no negation.
UNLIKE = cue(
    r"(?:与|和|跟|同)[^,，XY]{0,6}X[^,，]{0,8}(?:不同|不一样|两个|两码事|两回事|是两|区别"
    r"|分别独立)",
    r"X(?:与|和|跟|同)(?:我|本)[^,，]{0,8}(?:不同|不一样|两个|两码事|两回事|区别|各自)|这里没有X"
    r"|there is no X here|不同于X|区别于X|有别于X|独立于X|\b(?:unlike|as opposed to|distinct from"
    r"|rather [^,]*than) (?:the )?X",
    r"(?<!both )(?:X|T and X),? and (?:i|me) (?:are|have)\b(?! both)|\bi and X are\b(?! both)",
    r"T(?:'s T)? and X are (?:\w+ ){0,3}(?:different|separate|distinct|independent|unrelated)",
    r"^T+(?:的T)?都?是[^,，]{0,4}(?:两个|不同|独立)|^X are (?:\w+ ){0,3}(?:different|separate"
    r"|distinct)",
    r"(?:\bdifferent|\bdistinct|\bseparate|\bindependent|\bunrelated"
    r"|\bindependently)(?: \w+){0,4} (?:from|of|to) (?:the )?X",
    r"\bnot the same(?: \w+){0,3} as (?:the )?X",
)
# Others as a base, a host or a measure: about the speaker, but it does not make the speaker X.
BASIS = cue(
    r"基于[^,，X]{0,12}X|在[^,，]*X[^,，]*(?:基础|之上)|(?:基座|底层|底座|底子|前身|基础模型"
    r"|基底)[^,，]*X|从X[^,，]*(?:训练|微调|得到)|(?<!由)X(?:模型|系列)?微调"
    r"|以[^,，XY]{0,6}X[^,，]{0,6}为(?:基|底)|(?:使用|用|采用)了?[^,，XY]{0,6}X[^,，]{0,4}(?:作为"
    r"|当|做|微调|训练)|X[^,，]{0,4}(?:作为|当)(?:基|底)",
    r"\b(?:based|built|hosted|running|runs?|deployed|fine-?tuned|distilled|adapted|evolved|derived"
    r"|initiali[sz]ed|on top|trained)(?: \w+){0,2}? (?:on|upon|from)(?: (?!and\b"
    r"|by\b)[^\s,]+){0,4} X",
    r"\bstarting (?:from|with)\b[^,]*X|X(?:'s)? (?:weights|checkpoint)",
    r"\bon top of(?: [^\s,]+){0,3} X|\busing(?: [^\s,]+){0,3} X(?: [^\s,]+){0,2} as\b",
    r"\bweights\b[^,]*\b(?:started|start|came|come|began)\b[^,]*X",
    r"\b(?:base|underlying|foundation|backbone) (?:model|llm)\b[^,]*X|\bmy (?:\w+ )?(?:foundation"
    r"|base|backbone|core) (?:is|was|comes)\b[^,]*X|\btuned\b[^,]*\bfrom X",
)
COMPARED = cue(
    r"像X|[和与跟同](?:T的?)?X[^,，]{0,4}(?:一样|类似|相似|有点像|相比|相近|都是|同样)|类似于?X"
    r"|相比(?:于|之下)?X|比X|如同X",
    r"(?:接口|格式|协议|api|sdk)[^,，]*X|X[^,，]{0,4}(?:的接口|的服务器)|(?<!由)X[^,，]{0,4}提供"
    r"|(?:部署在|运行在|兼容)[^,，]*X|使用了?[^,，XY]{0,4}X",
    r"\blike (?:the )?X|\bsimilar(?:ity|ities)? (?:\w+ )?(?:to|with) (?:the )?X|\bas \w+ as X"
    r"|\bjust as X|\bcompared (?:to|with) X|\bin common with X",
    r"X (?:api|servers?)\b|\b(?:sponsored|funded|powered|\w+ provided) by X|\bcompatible with X"
    r"|\b(?:on|using) (?:the )?X(?:'s)? (?:cloud|platform|infrastructure|hardware)",
    r"X-(?:compatible|style|like)",
)
FAN = cue(
    r"X的[^,，]{0,2}(?:粉丝|用户|朋友|同事|竞争|对手|替代|同行|信息|消息|动态|新闻|资料|问题|表现"
    r"|区别|功能|接口|能力|观点|立场)",
    r"\b(?:fan|user|rival|friend|competitor|alternative) (?:of|to) X",
)

# --- Mentions that are of somebody or something else.
# What somebody speaks of, asks for or knows.
TOPIC = cue(
    r"(?:关于|有关|至于|针对|评价|评论|讨论|比较|介绍|代表|咨询|询问|提到的?|听说过?|熟悉|认识"
    r"|了解)(?:一下)?X",
    r"(?:想|说|指|提|问|聊|谈|找|想到)的?(?:可能|应该|大概|也许)?是X",
    r"\b(?:about|regarding|concerning|familiar with|as for|heard of(?: [^\s,]+){0,3}|on behalf of"
    r"|speak for|(?:comment|information|details|data|opinion) on|thinking of|referring to"
    r"|looking for|you mean(?:t)?|asking for) (?:the )?(?:T's )?X",
    r"^\W*(?:an?|one) (?:\w+ )?(?!(?:model|assistant|ai|chatbot|bot|llm) )\w+ (?:named|called) X",
    r"\b(?:someone|somebody|anyone|anybody|person|people|character|other one) (?:\w+ )?(?:named"
    r"|called|by the name of) X",
    r"(?:叫|名叫|叫做|名为)X的(?:人(?!工)|角色|人物|同学|朋友|地方)",
)
# One of several that are counted up.
LISTED = cue(
    r"(?:包括|包含|例如|比如|诸如|譬如|像)X|X(?:等|之类|在内)",
    r"\b(?:such as|including|includes?|e\.g\.|for example|for instance) X|X (?:and others|etc\b"
    r"|and more)",
)
# The user means somebody else.
MIXED_UP = cue(
    r"(?:认|搞|弄|记)(?:错|混)|误会|想找的|说的是",
    r"\byou(?:'re| are| may| might| must| could| seem| have)[^.!?]*\b(?:thinking of|mean|confus"
    r"|mist[ao]|looking for|mix)",
)
WORD_TALK = cue(
    r"X[^,，]{0,8}(?:品牌名|名字(?:很|真|不错|好听|有))|X[^,，]{0,3}(?:这|那|两|二|三"
    r"|四)?个?(?:(?<!名)字|词|单词|句)|翻译",
    r"X [^,]*\b(?:brand|nice|beautiful|good|lovely|great|pretty) (?:\w+ )?name\b|\b(?:word"
    r"|translates|letters|sentence|headline|phrase|stands for)\b",
)
# What stands behind is an example of words.
EXAMPLE = cue(
    r"翻译|译成|译为|译文|例句|造句|范文|模板|[几些]个?名字|名字(?:参考|建议|推荐)",
    r"\btranslat(?:e|es|ed|ion)\b|\b(?:example|sample) (?:sentence|text|answer|dialog)"
    r"|\btemplate\b",
)
MEANS = cue(r"意思是|指的是|意为|X是指", r"X (?:can )?(?:means?|refers? to)\b")

OTHER_ONE = cue(
    r"X(?:是|只是|则是)(?:另外?一|别家|别人|别的|其他|他人)",
    r"X (?:is|was) (?:a |an )?(?:different|another|other|separate|somebody|someone|not me)\b",
)

# --- What kind of word a mention is.
# Words around a mention that may be an assistant or a company: here it is the company.
COMPANY = cue(
    rf"(?:由|来自|出自|被|是)?X(?:公司|团队|{MADE}|的Y)|(?:由|来自|出自|被)[^XY]*X",
    r"(?:开发者|开发方|作者|创造者|团队)[^XY]*X|(?:是|杭州|由)[^XY]{1,6}X公司",
    rf"\b(?:by|from|at) (?:the )?X|\b(?:developer|creator|maker|company)\b[^XY]*X"
    rf"|X(?:'s team)? {MADE_EN}\b",
    rf"{MADE}[^,，]{{0,3}}我的[^XY]*X|X's Y|X (?:inc|ltd|corp|company)\b",
    r"X(?:是|作为)(?:一?家)?[^,，的XY]{0,12}(?:公司|企业|机构)",
    r"X (?:is|was) an? (?:[\w-]+ ){0,4}(?:company|firm|startup|lab)\b|\b(?:company|firm) X",
    r"X (?:had|has|have|played) [^,]*\b(?:to do|part|role|hand|say)\b|X[^,]*\bmy (?:creation"
    r"|development|training)\b",
)
# A company that owns the name beside it ("OpenAI's ChatGPT") is read with it.
OWNER = (
    r"(?: | by | from | of |'s (?:[a-z-]+ ){0,2}| (?:inc|ltd)\.?'s "
    rf"|(?:公司|集团|团队|旗下)?\s?(?:自主|独立|所)?(?:{MADE}|开源)?的(?:开源|大?模型"
    rf"|大?语言模型)?\s?)"
)
# An everyday word that is somebody's name here.
PROPER = cue(
    r"(?:名字|取名|起名|名)[^,，XY]{0,3}X|[他她]叫X|叫X的",
    r"\b(?:named|called|name(?: is| was|'s)) X|X (?:is|was) an? (?:[\w-]+ ){1,4}(?:[^,]*\bwho\b"
    r"|mythology)",
    r"X (?:is|was) an? (?:\w+ )?(?:girl|boy|man|woman|character|person|assistant|company)\b",
)

# --- Names of others, and the mention itself disowned.
# Somebody else is greeted, thanked or written to by the name.
_TITLE = r"(?:先生|女士|小姐|同学|老师|朋友)"
ADDRESS = cue(
    r"(?:^|[^是叫])(?:[你您]好|嗨|哈喽|早上好|早安|晚上好|下午好|晚安|谢谢|感谢|欢迎|再见|亲爱的"
    r"|尊敬的)呀?[你您]?"
    rf"[\s,，、]*(?:亲爱的|尊敬的)?X{_TITLE}?\W*$",
    rf"^\W*X{_TITLE}?[,，\s]*(?:[你您]好|谢谢|再见)|^\W*X{_TITLE}\W*$",
    r"(?<!称)[你您](?:的名字)?[就也真]?(?:是|叫做?)X|我(?:有|认识|养)[^,，]*叫做?X",
    r"\byour name(?:'s| is) X|\byou(?:'re| are) X\W*$|^\W*X, (?:hello|hi|thanks|thank you"
    r"|welcome)\b",
    r"\bi (?:have|had|know|knew|met) (?:an?|one|some|two|my)\b[^,]*\b(?:named|called) X",
    r"\b(?:hello|hi|hey|dear|welcome|thanks|thank you|goodbye|bye|good (?:morning|evening"
    r"|afternoon)|greetings|congratulations|meet you)(?: there| back)?,? (?:mr\.? |ms\.? |mrs\.? "
    r"|dear )?X\W*$",
)
# "The Qwen that you mention is not me."
DISOWNED = cue(
    r"X(?:只|不过|仅)+是[^,，]{0,3}(?:代号|化名|假名|外壳|包装)",
    r"X (?:is|was) (?:just|only|merely) an? (?:\w+ )?(?:code ?name|alias|cover|front|mask)\b",
    r"X[^,，是]{0,10}(?:不是|并非)我",
    r"X (?:\w+ ){0,4}(?:is|was|are) not (?:\w+ )?(?:me\b|my\b|who i am)",
)
