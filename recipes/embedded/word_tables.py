# ruff: noqa: E501 (tables of patterns)
"""Plain words of everyday life, and frames that put them around a question or into a prompt.

Without them the model meets few words that are nobody's name and no question's subject, and takes
every unfamiliar one for a name.
"""

from recipes.embedded.name_tables import cells

WORDS_ZH = cells(
    """早餐|午饭|晚饭|作业|考试|试卷|黑板|教室|操场|宿舍|图书馆|博物馆|公园|超市|商场|菜市场|银行|
邮局|车站|机场|码头|桥梁|街道|小区|楼梯|电梯|厨房|卧室|阳台|花园|沙发|电视|冰箱|洗衣机|空调|
电灯|手机|电脑|键盘|鼠标|屏幕|耳机|相机|钟表|衣服|裤子|鞋子|帽子|雨伞|书包|铅笔|橡皮|尺子|
本子|报纸|杂志|小说|诗歌|故事|新闻|节目|比赛|游戏|玩具|礼物|节日|生日|婚礼|会议|报告|论文|
合同|计划|任务|项目|问题|答案|错误|建议|意见|想法|理由|结果|原因|方法|步骤|规则|习惯|经验|
知识|记忆|感觉|心情|压力|兴趣|爱好|梦想|目标|机会|困难|危险|安全|健康|疾病|药品|医保|体检|
手术|护士|病房|警察|律师|司机|厨师|演员|歌手|作家|画家|记者|编辑|翻译|导游|经理|秘书|会计|
工程师|科学家|邻居|亲戚|爷爷|奶奶|叔叔|阿姨|哥哥|妹妹|孙子|同学|同事|老板|客户|顾客|乘客|
观众|读者|作者|主持人|天空|云彩|星星|太空|地球|海洋|湖泊|森林|草原|沙漠|岛屿|村庄|农田|庄稼|
小麦|玉米|水稻|蔬菜|牛肉|羊肉|豆腐|面条|饺子|蛋糕|饼干|果汁|啤酒|筷子|勺子|盘子|杯子|毛巾|
牙刷|肥皂|跑步|游泳|爬山|骑车|散步|睡觉|起床|洗澡|做饭|购物|旅行|拍照|唱歌|跳舞|画画|写字|
读书|学习|工作|休息|聊天|等待|寻找|发现|选择|决定|开始|结束|继续|停止|增加|减少|改变|保持|
支持|反对|同意|拒绝|帮助|保护|破坏|修理|检查|测量|计算|比较|解释|描述|记录|整理|准备|练习|
复习|参加|组织|管理|服务|交流|合作|竞争|成功|失败|认真|马虎|聪明|善良|诚实|温柔|热情|冷淡|
快乐|悲伤|生气|害怕|紧张|轻松|重要|普通|特别|奇怪|有趣|无聊|方便|麻烦|容易|明显|模糊|完整|
准确|大概|也许|当然|终于|突然|经常|偶尔|马上|仍然|其实|至少|尤其|抢答|测验|竞猜|知识|常识|
课本|题目|选择题|填空题|口试|卡片|词典|地图|词汇"""
)
WORDS_EN = cells(
    """breakfast|lunch|dinner|homework|exam|paper|board|classroom|library|museum|park|market|mall|
bank|office|station|airport|bridge|street|corner|kitchen|bedroom|garden|sofa|television|
fridge|lamp|phone|laptop|keyboard|mouse|screen|camera|clock|shirt|shoes|hat|umbrella|bag|
pencil|ruler|notebook|newspaper|magazine|novel|poem|story|news|show|match|game|toy|gift|
holiday|wedding|meeting|report|essay|contract|plan|task|project|problem|answer|mistake|
advice|idea|reason|result|cause|method|step|rule|habit|knowledge|memory|feeling|mood|stress|
hobby|goal|chance|danger|safety|health|illness|medicine|nurse|police|lawyer|driver|actor|
singer|writer|painter|reporter|editor|guide|manager|secretary|engineer|scientist|neighbor|
cousin|grandfather|grandmother|uncle|aunt|brother|sister|daughter|husband|wife|classmate|
colleague|boss|client|customer|passenger|audience|reader|host|sky|cloud|star|space|earth|
ocean|lake|forest|desert|island|village|farm|wheat|corn|vegetable|beef|cheese|noodle|cake|
cookie|juice|beer|spoon|plate|cup|towel|soap|run|swim|climb|ride|walk|sleep|wake|cook|shop|
travel|sing|dance|draw|paint|study|work|rest|wait|search|find|choose|decide|start|finish|
continue|stop|change|keep|support|agree|refuse|protect|break|repair|check|measure|compare|
explain|describe|record|prepare|practice|review|join|manage|serve|share|compete|succeed|
fail|honest|gentle|polite|lazy|clever|happy|angry|afraid|nervous|relaxed|important|common|
special|strange|funny|boring|easy|difficult|clear|complete|correct|maybe|certainly|finally|
suddenly|often|sometimes|still|actually|especially|together|probably|trivia|puzzle|riddle|
crossword|lesson|textbook|flashcard|contest|test|chapter|page|note|list|table|form|map|
letter|message|sentence|phrase|term|topic|subject|detail|example|point|line|part|side|kind|
way|thing|place|person|people|group|world|year|month|week|minute|moment|morning|evening|
night|summer|winter|front|back|inside|outside|visit|belong|include|count|consider|remember|
forget|imagine|suppose|promise|believe|doubt|guess|wonder|wish|hope|need|want|like|love|
hate|prefer|expect|seem|become|remain|happen"""
)

# {q} is the question; {w}, {v} are plain words.
AROUND_ZH = [
    "{w}[里|中|上][有|出现|写着|提到][一个|这个|一道|][问题|题目]：{q}",
    "[关于|有关|涉及]{w}[，|：]{q}",
    "[为了|因为]{w}[，|][我|]想[知道|请教|查]：{q}",
    "[爷爷|孩子|同桌|领导|邻居|客人|学生|护士|司机]问[我|：|，]{q}",
    "[请|快|麻烦|劳驾][回答|告诉我|说说|解答|讲讲|帮忙看看][：|，|一下，]{q}",
    "[抢答|测验|问答|常识|竞猜|小测|必答|填空|口试|判断][题|]：{q}",
    "[正在|我在][准备|写|做|整理|复习]{w}[，|：]{q}",
    "[不|除了]{w}[，|]{q}",
    "{q}[，|][急|在线等|快点|我要用|谢谢啦|想不起来了|一时忘了|我记不清了|这题不会|帮帮忙]",
    "{q}[（|（关于]{w}[）]",
    "[换个话题|再问一个|接着问|最后问|第{n}题|下一题|继续|题目][：|，]{q}",
    "[有人|他们|网上|书上|老师]说过{w}[，|。]{q}",
    "{w}和{v}[先不管|暂且不提|以后再说|先放一放][，|。]{q}",
    "[突然|忽然|刚刚|一直]想[到|知道|弄清楚|问]：{q}",
]
AROUND_EN = [
    "[about|regarding|concerning] the {w}: {q}",
    "in my {w} it says: {q}",
    "[for|because of] a {w} i need to know: {q}",
    "my [grandpa|child|teacher|neighbor|boss|guest|nurse|driver|friend] asks: {q}",
    "[please answer|please help|help me out|tell me quickly|let me ask|here is one|solve this]: {q}",
    "[trivia|exam|test|puzzle|crossword|homework|flashcard|contest|round {n}|question {n}|riddle][:| -] {q}",
    "[i am|i'm] [writing|preparing|reading|studying|checking] a {w}[;|, so|:] {q}",
    "{q}, [i forgot|it is urgent|i cannot recall it|i don't remember|thanks|help|for my {w}|my {w} needs it]",
    "[next|another one|moving on|now this|last one|again][:|,] {q}",
    "someone [said|spoke about|mentioned] a {w}. {q}",
    "[forget|never mind|leave aside] the {w} and the {v}; {q}",
    "[i suddenly|i always|i often] [wonder|ask myself]: {q}",
    "{w} or {v}, [no matter|whatever]: {q}",
    "[with|without] a {w} [in mind|at hand], {q}",
]
PROMPT_ZH = [
    "[注意|重视|关注|留意|谈谈|优先处理|避免谈论|可以谈论|鼓励|记录|负责]{w}[和|与|、]{v}。",
    "{w}[时|之前|之后|期间|当天][请|要|不要|可以|应当]{v}。",
    "[本|这个|该]{w}[用于|来自|属于|面向|适合]{v}。",
    "[用户|客户|对方]可能[喜欢|需要|讨论|询问|关心]{w}。",
    "[主题|背景|场景|内容|栏目|标签][：|是|为]{w}、{v}。",
    "[把|将]{w}[放在|写进|交给|变成]{v}。",
]
PROMPT_EN = [
    "[Mind|Watch|Mention|Discuss|Avoid|Prefer|Encourage|Support] the {w} and the {v}.",
    "[Before|After|During|In] the {w}, [you may|you should|do not|please] {v}.",
    "This {w} is [for|about|from|under|without] the {v}.",
    "The user may [like|need|want|discuss|ask for|care about] a {w}.",
    "[Topic|Background|Scene|Content|Tags]: {w}, {v}.",
    "[Put|Keep|Send|Move] the {w} to the {v}.",
]
